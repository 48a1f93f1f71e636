// Set the theme before anything is painted: the user's, or the device's if the user has chosen none. Not a module, since
// modules run too late.
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
