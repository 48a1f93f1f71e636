// Values that this browser keeps. Browsers that refuse to keep anything return null.

export function read(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

export function write(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // The user has switched storage off, so the value is lost with this page.
  }
}
