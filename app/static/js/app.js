// What every page needs. All listeners are on the document, so they work for what HTMX inserts later. Every page works
// without scripts, too.

import "./copy.js";
import "./disclosure.js";
import "./navigation.js";
import "./submit_on_change.js";
import "./toasts.js";
