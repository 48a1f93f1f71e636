// What every page needs. All listeners are on the document, so they work for what HTMX inserts later. Every page works
// without scripts, too.

import "./copy.js";
import "./disclosure.js";
import "./filters.js";
import "./kept_state.js";
import "./navigation.js";
import "./toasts.js";
