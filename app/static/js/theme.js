// Before anything is painted: the colours that the user chose or, where they left it to the device, the device's.
"use strict";

{
  const page = document.documentElement;
  if (page.dataset.theme === "auto") {
    const dark = window.matchMedia("(prefers-color-scheme: dark)");
    const follow = () => page.setAttribute("data-bs-theme", dark.matches ? "dark" : "light");
    dark.addEventListener("change", follow);
    follow();
  }
}
