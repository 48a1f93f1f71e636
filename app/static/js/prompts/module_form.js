// The prompts of a module's form.

import "./dialogue.js";
import "./library_dialog.js";
import "./phone_call.js";
import "./player.js";
import "./prompt_cards.js";
import "./recorder.js";
import "./upload.js";
