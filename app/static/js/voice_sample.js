// The page of the voices: the value of a slider beside it, and the sample played on the page.
// Without JavaScript the sample opens in a new tab.

import { localDigits } from "./digits.js";

function showValue(range) {
  let output = document.getElementById(range.dataset.shownIn);
  if (!output) {
    output = document.createElement("output");
    output.id = range.dataset.shownIn;
    output.className = "range-now";
    range.after(output);
  }
  output.textContent = localDigits(range.value);
}

let player = null;

async function play(sound) {
  if (player) {
    player.pause();
    URL.revokeObjectURL(player.src);
  }
  player = new Audio(URL.createObjectURL(sound));
  await player.play();
}

// Synthesize and play the sample of the button's form, or show why that is not possible.
async function listen(button) {
  const error = button.form.querySelector(".sample-error");
  error.textContent = "";
  button.disabled = true;
  try {
    const answer = await fetch(button.dataset.sample, { method: "POST", body: new FormData(button.form) });
    if (answer.ok) {
      await play(await answer.blob());
    } else {
      error.textContent = answer.status === 422 ? await answer.text() : button.dataset.failed;
    }
  } catch {
    error.textContent = button.dataset.failed;
  } finally {
    button.disabled = false;
  }
}

document.querySelectorAll("[data-shown-in]").forEach(showValue);
document.addEventListener("input", (event) => {
  if (event.target.dataset.shownIn) showValue(event.target);
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-sample]");
  if (!button) return;
  event.preventDefault();
  listen(button);
});
