// The page to try the API: every operation that the server describes.

import "./styles/base.css";
import "./styles/layout.css";
import "./styles/charts.css";
import "./styles/openapi.css";

import type { Description } from "./model/openapi";
import { byTag } from "./model/openapi";
import { byId, make, setText } from "./view/dom";
import { operationView } from "./view/operation";

const TIMEOUT_MS = 8000;

async function begin(): Promise<void> {
  const host = byId("operations");
  const response = await fetch(new URL("openapi.json", document.baseURI), { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  const description = (await response.json()) as Description;
  setText(byId("title"), `${description.info.title}: API`);
  document.title = `${description.info.title}: API · Millrace`;
  host.replaceChildren(
    ...byTag(description).map(({ tag, description: about, operations }) =>
      make("section", { attributes: { "aria-label": tag } }, make("h2", { text: tag }), make("p", { class: "quiet", text: about }), ...operations.map(operationView))),
  );
}

begin().catch((error: unknown) => {
  byId("operations").replaceChildren(make("p", { class: "empty", text: `The description could not be read: ${String(error)}` }));
});
