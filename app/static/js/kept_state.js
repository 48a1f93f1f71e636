// What an update by HTMX keeps of the page as the reader has it: opened details stay open, and the button of a calendar,
// which scripts have shown, is not hidden for a moment, since it would lose the focus.

htmx.registerExtension("kept-state", {
  htmx_before_morph_attr(element, { attrName, newValue }) {
    const closes = attrName === "open" && newValue === null && element.matches("details");
    const hides = attrName === "hidden" && element.matches("[data-picks]");
    return !closes && !hides;
  },
});
