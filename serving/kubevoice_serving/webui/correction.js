/** The dialog that corrects a reading. It closes when the server accepts what was entered. */

import { json } from "./api.js";
import { $, readingOf, request, setReading } from "./form.js";
import { describe } from "./messages.js";
import { t } from "./strings.js";

export function openCorrection(word, pinyin) {
  $("word").value = word;
  $("pinyin").value = readingOf(word) ?? pinyin;
  showProblem("");
  $("correction").showModal();
  $("pinyin").select();
}

function showProblem(message) {
  $("correction-problem").textContent = message;
  $("pinyin").setAttribute("aria-invalid", message !== "");
}

/** Call `onCorrected` after each accepted correction. */
export function watchCorrections(onCorrected) {
  $("correction-form").addEventListener("submit", async (event) => {
    if (event.submitter?.value === "cancel") return;
    event.preventDefault();
    const [word, reading] = [$("word").value.trim(), $("pinyin").value.trim()];
    if (!word || !reading) {
      showProblem(t("incomplete"));
      return;
    }
    try {
      await json("v1/text/analyze", { text: word, voice: request().voice, lexicon: { [word]: reading } });
    } catch (error) {
      showProblem(describe(error));
      $("pinyin").focus();
      return;
    }
    setReading(word, reading);
    $("correction").close();
    onCorrected();
  });
}
