import js from "@eslint/js";
import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist", "node_modules"] },
  js.configs.recommended,
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: {
      parserOptions: {
        projectService: { allowDefaultProject: ["vitest.config.ts"] },
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      // Numbers in texts are meant.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      // Everything from the server is text, never markup.
      "no-restricted-properties": [
        "error",
        { property: "innerHTML", message: "Insert texts as text." },
        { property: "outerHTML", message: "Insert texts as text." },
        { property: "insertAdjacentHTML", message: "Insert texts as text." },
      ],
    },
  },
  {
    files: ["mock/**/*.mjs", "tests/**/*.mjs", "page/public/*.js"],
    languageOptions: {
      globals: Object.fromEntries(
        ["process", "console", "URL", "Buffer", "setTimeout", "setInterval", "clearInterval", "document", "localStorage", "performance", "requestAnimationFrame", "fetch", "PerformanceObserver"]
          .map((name) => [name, "readonly"]),
      ),
    },
  },
);
