/** The page: connects the form, the player, the voices and the history. */

import { json, key, setKey } from "./api.js";
import { openCorrection, watchCorrections } from "./correction.js";
import {
  $, element, request, resetForm, restore, showCorrections, showExamples, showForm, showVoice, showVoices, SLIDERS,
} from "./form.js";
import * as history from "./history.js";
import { describe } from "./messages.js";
import { Player } from "./player.js";
import { emotionName, switchLanguage, t, translate } from "./strings.js";
import { showVoiceCards } from "./voices.js";

const player = new Player(showStatus, openCorrection);
let voices = [];
let repeat = speak; // what a correction does again: speak, or show the reading

function showStatus(message, isBad = false) {
  $("status").textContent = message;
  $("status").classList.toggle("bad", isBad);
}

function showError(error) {
  if (error.name === "AbortError") return;
  if (error.status === 401) {
    $("settings").open = true;
    $("key").focus();
  }
  showStatus(describe(error), true);
}

/** The request of the form; null, with a message, if it has no text. */
function requestWithText() {
  const body = request();
  if (body.input.trim()) return body;
  showStatus(t("empty"), true);
  return null;
}

async function speak() {
  repeat = speak;
  const body = requestWithText();
  if (!body) return;
  try {
    if (!await player.speak(body)) return;
    history.save(body);
    showHistory();
  } catch (error) {
    showError(error);
  }
}

async function preview() {
  repeat = preview;
  const body = requestWithText();
  if (!body) return;
  showStatus(t("previewing"));
  try {
    await player.preview(body);
    showStatus("");
  } catch (error) {
    showError(error);
  }
}

function showHistory() {
  const entries = history.entries();
  $("past").hidden = !entries.length;
  $("entries").replaceChildren(...entries.map(({ when, request: body }) => {
    const row = element("li", "");
    const button = element("button", "", { type: "button", class: "entry", title: t("restore") });
    const details = [new Date(when).toLocaleTimeString(), body.emotion && emotionName(body.emotion), body.speaker];
    button.append(element("span", body.input, { lang: "zh-CN" }), element("small", details.filter(Boolean).join(" · ")));
    button.addEventListener("click", () => {
      restore(body);
      speak();
    });
    row.append(button);
    return row;
  }));
}

function showAll() {
  translate();
  showExamples();
  showVoice();
  showForm();
  showCorrections();
  showHistory();
  showVoiceCards(voices, showError);
  player.refresh();
}

async function loadVoices() {
  try {
    ({ voices } = await json("v1/voices"));
    showVoices(voices);
    showVoiceCards(voices, showError);
    showStatus("");
  } catch (error) {
    showError(error);
  }
}

function setTheme(chosen) {
  if (chosen) document.documentElement.dataset.theme = chosen;
}

function stop() {
  if ($("stop").hidden) return;
  player.stop();
  showStatus(t("stopped"));
}

function watchForm() {
  $("form").addEventListener("submit", (event) => {
    event.preventDefault();
    speak();
  });
  $("form").addEventListener("reset", () => setTimeout(() => {
    resetForm();
    $("key").value = key();
    showAll();
    showStatus("");
  }));
  $("text").addEventListener("input", showForm);
  for (const input of document.querySelectorAll("[name=mode]")) input.addEventListener("change", showForm);
  for (const id of SLIDERS) $(id).addEventListener("input", showForm);
  $("voice").addEventListener("change", () => showVoice());
  $("preview").addEventListener("click", preview);
  $("stop").addEventListener("click", stop);
  $("pause").addEventListener("click", () => player.pause());
  $("key").addEventListener("change", () => {
    setKey($("key").value);
    loadVoices();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit();
    if (event.key === "Escape" && !$("correction").open) stop();
  });
}

function watchPage() {
  $("download").addEventListener("click", () => player.download().catch(showError));
  $("explanation").addEventListener("toggle", () => player.showExplanation().catch(showError));
  watchCorrections(() => repeat());
  $("forget").addEventListener("click", () => {
    history.clear();
    showHistory();
  });
  $("language").addEventListener("click", () => {
    switchLanguage();
    showAll();
  });
  $("theme").addEventListener("click", () => {
    const isDark = getComputedStyle(document.documentElement).colorScheme === "dark" ||
      (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
    setTheme(isDark ? "light" : "dark");
    localStorage.setItem("theme", document.documentElement.dataset.theme);
    player.refresh();
  });
}

function start() {
  setTheme(localStorage.getItem("theme"));
  resetForm();
  $("key").value = key();
  showAll();
  watchForm();
  watchPage();
  loadVoices();
}

start();
