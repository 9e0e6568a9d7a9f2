// Applies the chosen theme before the first paint. A plain script, since modules run later.
try {
  const theme = localStorage.getItem("millrace-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be forbidden; then the system's theme holds.
}
