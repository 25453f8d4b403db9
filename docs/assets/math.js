// Material swaps pages without a reload, so formulas are rendered on every new document.
document$.subscribe(() => {
  renderMathInElement(document.body, {
    delimiters: [
      { left: "\\[", right: "\\]", display: true },
      { left: "\\(", right: "\\)", display: false },
    ],
    ignoredTags: ["script", "style", "pre", "code"],
  });
});
