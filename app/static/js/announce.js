// Say a text to people who use a screen reader.
export function announce(text) {
  document.getElementById("announcement").textContent = text;
}
