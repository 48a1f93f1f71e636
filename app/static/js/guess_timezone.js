// Choose the time zone of this browser, if nobody has chosen one yet.

const container = document.querySelector("[data-guess-zone]");
if (container) {
  const select = document.getElementById(container.dataset.guessZone);
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  // Browsers that hide their time zone report UTC.
  if (zone !== "UTC" && [...select.options].some((option) => option.value === zone)) select.value = zone;
}
