// An operation: its parameters and body to fill in, and what came back.

import type { Listed } from "../model/openapi";
import { address, exampleBody } from "../model/openapi";
import { make, setHidden, setText } from "./dom";

/** Answers that do not end are shown for so long. */
const LIVE_MS = 5000;
const MAX_CHARS = 100_000;

export function operationView({ method, path, operation }: Listed): HTMLElement {
  const values = new Map<string, string>();
  const parameters = operation.parameters ?? [];
  const form = make("div", { class: "operation-form" });
  for (const { name, in: place, required, description, schema } of parameters) {
    const input = make("input", { attributes: { type: "text", placeholder: schema?.format ?? String(schema?.type ?? ""), autocomplete: "off" } });
    input.addEventListener("input", () => values.set(`${place} ${name}`, input.value));
    if (schema?.const !== undefined) {
      input.value = typeof schema.const === "string" ? schema.const : JSON.stringify(schema.const);
      values.set(`${place} ${name}`, input.value);
    }
    const label = make("label", {}, make("span", { class: "label", text: `${name}${required ? " *" : ""}` }), make("span", { class: "quiet", text: place }), input);
    if (description !== undefined) label.append(make("span", { class: "note", text: description }));
    form.append(label);
  }
  const body = bodyInput(operation.requestBody?.content);
  if (body) form.append(body.element);

  const send = make("button", { class: "send", text: "Send", attributes: { type: "button" } });
  const status = make("p", { class: "answer-status", attributes: { role: "status" } });
  const head = make("pre", { class: "answer-head" });
  const answer = make("pre", { class: "answer" });
  for (const part of [head, answer]) setHidden(part, true);
  send.addEventListener("click", () => {
    const { url, headers } = address(path, parameters, values);
    send.disabled = true;
    setText(status, `${method} ${url}`);
    run(method, url, headers, body?.read() ?? null, (line, lines, text) => {
      setText(status, line);
      setText(head, lines);
      setText(answer, text);
      for (const part of [head, answer]) setHidden(part, part.textContent === "");
    }).catch((error: unknown) => { setText(status, `No answer: ${String(error)}`); })
      .finally(() => { send.disabled = false; });
  });

  const answers = make("ul", { class: "answers" });
  for (const [code, { description, content }] of Object.entries(operation.responses)) {
    answers.append(make("li", {}, make("code", { text: code }), make("span", { text: description }), make("span", { class: "quiet", text: Object.keys(content ?? {}).join(", ") })));
  }
  const needs = (operation.security ?? []).flatMap((scheme) => Object.keys(scheme)).join(", ");
  const summary = make("summary", {}, make("code", { class: `method ${method.toLowerCase()}`, text: method }), make("code", { text: path }), make("span", { class: "quiet", text: operation.summary ?? "" }));
  if (needs !== "") summary.append(make("span", { class: "pill", text: needs }));
  return make("details", { class: "operation panel" }, summary, form, send, status, head, answer, answers);
}

interface Body {
  kind: string;
  text: string;
}

function bodyInput(content: Record<string, { schema?: object }> | undefined): { element: HTMLElement; read: () => Body } | null {
  // A browser makes the boundaries of multipart bodies itself, from fields.
  const kinds = Object.keys(content ?? {}).filter((kind) => kind !== "multipart/form-data");
  if (!content || kinds.length === 0) return null;
  const choice = make("select", { attributes: { "aria-label": "Content type" } });
  for (const kind of kinds) choice.append(make("option", { text: kind, attributes: { value: kind } }));
  const text = make("textarea", { attributes: { rows: "8", spellcheck: "false", "aria-label": "Body" } });
  const fill = (): void => { text.value = exampleBody(choice.value, content[choice.value]?.schema); };
  choice.addEventListener("change", fill);
  fill();
  return { element: make("label", { class: "body" }, make("span", { class: "label", text: "Body" }), choice, text), read: () => ({ kind: choice.value, text: text.value }) };
}

async function run(method: string, url: string, headers: [string, string][], body: Body | null, show: (status: string, head: string, text: string) => void): Promise<void> {
  const began = performance.now();
  const aborted = new AbortController();
  const all = new Headers(headers);
  if (body) all.set("content-type", body.kind);
  const response = await fetch(new URL(url.replace(/^\//, ""), document.baseURI), { method, headers: all, body: body?.text ?? null, cache: "no-store", signal: aborted.signal });
  const took = Math.round(performance.now() - began);
  const line = `${response.status} ${response.statusText} · ${took} ms`;
  const head = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
  const isLive = response.headers.get("content-type")?.startsWith("text/event-stream") ?? false;
  const timer = isLive ? setTimeout(() => { aborted.abort(); }, LIVE_MS) : undefined;
  let text = "";
  try {
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader?.read(); part?.done === false && text.length < MAX_CHARS; part = await reader?.read()) {
      text += part.value;
      show(line, head, text.slice(0, MAX_CHARS));
    }
    if (text.length >= MAX_CHARS) aborted.abort();
  } catch (error) {
    if (!aborted.signal.aborted) throw error;
  } finally {
    clearTimeout(timer);
  }
  show(line, head, pretty(response, text));
}

function pretty(response: Response, text: string): string {
  if (!/[/+]json\b/.test(response.headers.get("content-type") ?? "")) return text.slice(0, MAX_CHARS);
  // Numbers of more digits than a double has stay as they are: only spaces are added.
  try {
    const value: unknown = JSON.parse(text);
    return /\d{16}/.test(text) ? text : JSON.stringify(value, null, 2);
  } catch {
    return text;
  }
}
