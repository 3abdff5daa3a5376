/** The page: sends requests to the server; plays, draws and stores the speech. */

import { call, json, key, setKey, stream } from "./api.js";
import {
  $, element, readingOf, request, resetForm, restore, setReading, showCorrections, showExamples, showForm, showVoice,
  showVoices, SLIDERS,
} from "./form.js";
import * as history from "./history.js";
import { Reading } from "./reading.js";
import { emotionName, switchLanguage, t, translate } from "./strings.js";
import { Take } from "./take.js";
import { draw } from "./waveform.js";

let take = null;
let controller = new AbortController(); // for the requests of the current take
let frame = 0;
let lastBody = null; // the request of the take that is shown
const reading = new Reading($("reading"), openCorrection);

function showStatus(message, bad = false) {
  $("status").textContent = message;
  $("status").classList.toggle("bad", bad);
}

function showError(error) {
  if (error.name === "AbortError") return;
  if (error.status === 401) {
    $("settings").open = true;
    $("key").focus();
  }
  showStatus(error.status === 401 ? `${t("keyHint")} (${error.message})` : error.message, true);
}

/** Stop the current take; the samples received so far are kept. */
function stopTake() {
  controller.abort();
  controller = new AbortController();
  take?.close();
  $("audio").pause();
}

function finish(newTake) {
  newTake.complete = true;
  if (take !== newTake) return;
  newTake.expected = newTake.seconds;
  $("seconds").textContent = `${newTake.seconds.toFixed(2)} s`;
  URL.revokeObjectURL($("audio").src);
  $("audio").src = URL.createObjectURL(newTake.wav());
}

async function speak() {
  stopTake();
  const body = request();
  const { signal } = controller;
  const began = performance.now();
  let newTake = null;
  showStatus(t("speaking"));
  showPlaying(true);
  try {
    await stream(body, signal, (headers) => {
      newTake = new Take(Number(headers.get("X-Sample-Rate")));
      take = newTake;
      lastBody = body;
      $("result").hidden = false;
      reading.show({ sentences: [] });
      $("seconds").textContent = "…";
      $("revision").textContent = headers.get("X-Revision").replace("sha256:", "").slice(0, 12);
      showNotices(JSON.parse(headers.get("X-Notices") ?? "[]"));
      showReading(body, newTake, signal);
      showExplanation();
      watch();
    }, (samples) => {
      if (!newTake.length) {
        $("first").textContent = `${Math.round(performance.now() - began)} ms`;
        showStatus("");
      }
      newTake.add(samples);
    });
    history.save(body);
    showHistory();
  } catch (error) {
    if (newTake?.length && error.name !== "AbortError") showStatus(`${t("broken")} (${error.message})`, true);
    else showError(error);
  }
  if (newTake?.length) finish(newTake);
  else if (!signal.aborted) showPlaying(false);
}

/** Show the words with their times. Playback continues if the request fails. */
async function showReading(body, newTake, signal) {
  try {
    const timing = await json("v1/audio/subtitles", body, signal);
    if (take !== newTake) return;
    newTake.expected = timing.duration;
    reading.show(timing);
  } catch (error) {
    if (error.name !== "AbortError") console.warn(error);
  }
}

/** Draw and mark words from the next frame on; only one such loop runs. */
function watch() {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(follow);
}

function follow() {
  const replayed = !$("audio").paused;
  const live = take?.playing ?? false;
  const position = replayed ? $("audio").currentTime : take.position;
  draw($("waveform"), take, position);
  reading.follow(live || replayed ? position : null);
  showPlaying(live || take.context.state === "suspended");
  if (live || replayed || take.context.state === "suspended") watch();
}

function showPlaying(playing) {
  $("stop").hidden = !playing;
  $("pause").hidden = !playing || !take || take.context.state === "closed";
  $("pause").firstElementChild.textContent = t(take?.context.state === "suspended" ? "resume" : "pause");
}

function showNotices(notices) {
  $("notices").replaceChildren(...notices.map((each) => element("li", each.message ?? JSON.stringify(each))));
  $("notices").hidden = !notices.length;
}

/** Show which rule, table or model decided each part of the text, when somebody looks. */
async function showExplanation() {
  if (!$("explanation").open || !lastBody) return;
  const { input: text, voice, ssml, lexicon } = lastBody;
  try {
    const { decisions } = await json("v1/text/analyze", { text, voice, ssml, lexicon });
    $("decisions").replaceChildren(...decisions.map((each) => {
      const row = document.createElement("tr");
      row.append(element("td", each.written), element("td", each.reading), element("td", each.by, { lang: "en" }));
      return row;
    }));
  } catch (error) {
    showError(error);
  }
}

function openCorrection(word, pinyin) {
  $("word").value = word;
  $("pinyin").value = readingOf(word) ?? pinyin;
  $("correction").returnValue = "";
  $("correction").showModal();
  $("pinyin").select();
}

async function download() {
  try {
    const response = await call("v1/audio/speech", { ...lastBody, response_format: $("format").value, stream: false });
    const link = element("a", "", { download: `kubevoice.${$("format").value}` });
    link.href = URL.createObjectURL(await response.blob());
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
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
  if (take) showPlaying(take.playing);
}

async function loadVoices() {
  try {
    showVoices((await json("v1/voices")).voices);
    showStatus("");
  } catch (error) {
    showError(error);
  }
}

function setTheme(chosen) {
  if (chosen) document.documentElement.dataset.theme = chosen;
}

function start() {
  setTheme(localStorage.getItem("theme"));
  resetForm();
  $("key").value = key();
  showAll();
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
  for (const id of SLIDERS) $(id).addEventListener("input", showForm);
  $("voice").addEventListener("change", () => showVoice());
  $("key").addEventListener("change", () => {
    setKey($("key").value);
    loadVoices();
  });
  const stop = () => {
    if ($("stop").hidden) return;
    stopTake();
    reading.follow(null);
    showPlaying(false);
    showStatus(t("stopped"));
  };
  $("stop").addEventListener("click", stop);
  $("pause").addEventListener("click", () => take.pause().then(() => showPlaying(true)));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit();
    if (event.key === "Escape" && !$("correction").open) stop();
  });
  $("audio").addEventListener("play", () => {
    take.close(); // so that it is not played twice
    watch();
  });
  $("download").addEventListener("click", download);
  $("correction").addEventListener("close", () => {
    if ($("correction").returnValue !== "save" || !$("pinyin").value.trim()) return;
    if ($("word").value.trim()) setReading($("word").value.trim(), $("pinyin").value.trim());
    speak();
  });
  $("explanation").addEventListener("toggle", showExplanation);
  $("forget").addEventListener("click", () => {
    history.clear();
    showHistory();
  });
  $("language").addEventListener("click", () => {
    switchLanguage();
    showAll();
  });
  $("theme").addEventListener("click", () => {
    const dark = getComputedStyle(document.documentElement).colorScheme === "dark" ||
      (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
    setTheme(dark ? "light" : "dark");
    localStorage.setItem("theme", document.documentElement.dataset.theme);
    if (take) draw($("waveform"), take, take.position);
  });
  loadVoices();
}

start();
