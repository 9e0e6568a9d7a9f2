// What a description in OpenAPI says, as far as the page uses it, and the requests it leads to.

export interface Description {
  info: { title: string };
  tags?: { name: string; description?: string }[];
  paths: Record<string, Record<string, Operation>>;
}

export interface Operation {
  operationId: string;
  tags?: string[];
  summary?: string;
  parameters?: Parameter[];
  requestBody?: { content: Record<string, { schema?: Schema }> };
  responses: Record<string, { description: string; content?: Record<string, unknown> }>;
  security?: Record<string, string[]>[];
}

export interface Parameter {
  name: string;
  in: string;
  required?: boolean;
  description?: string;
  schema?: Schema;
}

export interface Schema {
  type?: string | string[];
  format?: string;
  enum?: unknown[];
  const?: unknown;
  default?: unknown;
  minimum?: number;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  anyOf?: Schema[];
}

export interface Listed {
  method: string;
  path: string;
  operation: Operation;
}

/** Operations by tag, in the order of the description's tags. */
export function byTag({ tags, paths }: Description): { tag: string; description: string; operations: Listed[] }[] {
  const all = Object.entries(paths).flatMap(([path, item]) => Object.entries(item).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })));
  return (tags ?? [])
    .map(({ name, description }) => ({ tag: name, description: description ?? "", operations: all.filter(({ operation }) => operation.tags?.[0] === name) }))
    .filter(({ operations }) => operations.length > 0);
}

const DEEPEST = 6;

/** A value that a schema may describe, to begin with. */
export function example(schema: Schema | undefined, depth = 0): unknown {
  if (!schema || depth > DEEPEST) return null;
  if (schema.const !== undefined) return schema.const;
  if (schema.default !== undefined) return schema.default;
  if (schema.enum) return schema.enum[0];
  if (schema.anyOf) return example(schema.anyOf[0], depth + 1);
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  switch (type) {
    case "object":
      return Object.fromEntries(Object.entries(schema.properties ?? {}).map(([name, inner]) => [name, example(inner, depth + 1)]));
    case "array": return [example(schema.items, depth + 1)];
    case "integer":
    case "number": return Math.max(0, schema.minimum ?? 0);
    case "boolean": return false;
    case "string": return text(schema.format);
    default: return null;
  }
}

function text(format: string | undefined): string {
  switch (format) {
    case "date-time": return "2026-01-01T00:00:00Z";
    case "uuid": return "00000000-0000-4000-8000-000000000000";
    case "email": return "someone@example.com";
    default: return "text";
  }
}

/** A body to begin with. */
export function exampleBody(kind: string, schema: Schema | undefined): string {
  const value = example(schema);
  if (kind === "application/json") return JSON.stringify(value, null, 2);
  if (kind === "application/x-www-form-urlencoded") return new URLSearchParams(fields(value)).toString();
  return "{}\n";
}

function fields(value: unknown): [string, string][] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).map(([name, field]) => [name, typeof field === "string" ? field : JSON.stringify(field)]);
}

/** The address and headers of a request; parameters that are left empty are left out. */
export function address(path: string, parameters: readonly Parameter[], values: ReadonlyMap<string, string>): { url: string; headers: [string, string][] } {
  let url = path;
  const query = new URLSearchParams();
  const headers: [string, string][] = [];
  for (const { name, in: place } of parameters) {
    const value = values.get(`${place} ${name}`) ?? "";
    if (place === "path") url = url.replace(`{${name}}`, () => encodeURIComponent(value));
    else if (value === "") continue;
    else if (place === "query") query.append(name, value);
    else if (place === "header") headers.push([name, value]);
  }
  const text = query.toString();
  return { url: text === "" ? url : `${url}?${text}`, headers };
}
