import { describe, expect, it } from "vitest";

import { address, byTag, example, exampleBody } from "../../page/src/model/openapi";

describe("a description", () => {
  it("is listed by its tags", () => {
    const operation = (tag: string) => ({ operationId: tag, tags: [tag], responses: {} });
    const listed = byTag({
      info: { title: "x" },
      tags: [{ name: "ingest", description: "In." }, { name: "query" }, { name: "none" }],
      paths: { "/a": { get: operation("query"), post: operation("ingest") } },
    });
    expect(listed.map(({ tag, operations }) => [tag, operations.map(({ method, path }) => `${method} ${path}`)])).toEqual([["ingest", ["POST /a"]], ["query", ["GET /a"]]]);
  });
});

describe("an example", () => {
  it("has the form that the schema describes", () => {
    const schema = { type: "object", properties: { at: { type: "string", format: "date-time" }, n: { type: ["integer", "null"], minimum: 5 }, tags: { type: "array", items: { enum: ["a", "b"] } } } };
    expect(example({ anyOf: [schema, { type: "array" }] })).toEqual({ at: "2026-01-01T00:00:00Z", n: 5, tags: ["a"] });
    expect(exampleBody("application/x-www-form-urlencoded", { type: "object", properties: { data: { type: "string" } } })).toBe("data=text");
    expect(exampleBody("application/x-ndjson", { type: "string" })).toBe("{}\n");
  });

  it("of a schema that contains itself ends", () => {
    const schema: { type: string; properties: Record<string, object> } = { type: "object", properties: {} };
    schema.properties.again = schema;
    expect(JSON.stringify(example(schema))).toContain("null");
  });
});

describe("an address", () => {
  it("has the parameters at their places, and none that are left empty", () => {
    const parameters = [{ name: "id", in: "path" }, { name: "from", in: "query" }, { name: "to", in: "query" }, { name: "X-Key", in: "header" }];
    const values = new Map([["path id", "a/b c$&"], ["query from", "2026-01-01T00:00:00+01:00"], ["query to", ""], ["header X-Key", "k"]]);
    expect(address("/things/{id}", parameters, values)).toEqual({ url: "/things/a%2Fb%20c%24%26?from=2026-01-01T00%3A00%3A00%2B01%3A00", headers: [["X-Key", "k"]] });
  });
});
