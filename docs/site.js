// A table that is wider than the page scrolls, so the keyboard must reach it.
document$.subscribe(() => {
  for (const table of document.querySelectorAll(".md-typeset__scrollwrap")) table.tabIndex = 0;
});
