// What every page needs after the log-in: it keeps itself up to date.

import "./live/bell.js";
import "./live/countdown.js";
import "./live/dialog.js";
import "./live/keys.js";
import "./live/menu.js";
import "./live/poll.js";
import "./live/screen_pop.js";
import "./live/selection.js";
import { register } from "./push.js";
import "./unsaved.js";

register();
