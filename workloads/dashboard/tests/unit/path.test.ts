import { describe, expect, it } from "vitest";

import { asName, asNumber, lookup, parsePath } from "../../page/src/model/path";

describe("paths", () => {
  const event = { location: { lat: 51.5 }, wheels: [{ rpm: 7 }], "a b": 1, nothing: null };

  it("name fields, quoted fields and indexes", () => {
    expect(lookup(".location.lat")(event)).toBe(51.5);
    expect(lookup(".wheels[0].rpm")(event)).toBe(7);
    expect(lookup('."a b"')(event)).toBe(1);
    expect(lookup(".")(event)).toBe(event);
  });

  it("find nothing where there is nothing", () => {
    for (const path of [".location.long", ".wheels[1].rpm", ".nothing.x", ".location[0]", ".wheels.length"]) {
      expect(lookup(path)(event), path).toBeUndefined();
    }
  });

  it("do not reach into prototypes", () => {
    expect(lookup(".constructor")(event)).toBeUndefined();
    expect(lookup(".__proto__")(event)).toBeUndefined();
  });

  it("are refused when they are not written as paths", () => {
    for (const text of ["", "location", "..a", ".a[x]", ".a b"]) expect(parsePath(text), text).toBeNull();
    expect(lookup("location")(event)).toBeUndefined();
  });
});

describe("values", () => {
  it("name an entity when they are texts or numbers", () => {
    expect(asName(2)).toBe("2");
    expect(asName("d1")).toBe("d1");
    expect(asName("")).toBeNull();
    expect(asName({})).toBeNull();
  });

  it("are numbers only when finite", () => {
    expect(asNumber(1.5)).toBe(1.5);
    expect(asNumber("1.5")).toBeNull();
    expect(asNumber(Infinity)).toBeNull();
  });
});
