/** The page: what was chosen goes to the server, what comes back is heard, drawn and kept. */

import { ask, json, key, setKey, stream } from "./api.js";
import {
  $, clear, element, offer, readingOf, request, restore, setReading, showCorrections, showExamples, showForm, showVoice,
  SLIDERS,
} from "./form.js";
import * as history from "./history.js";
import { Reading } from "./reading.js";
import { emotionName, switchLanguage, t, translate } from "./strings.js";
import { Take } from "./take.js";
import { draw } from "./waveform.js";

let take = null;
let calls = new AbortController();
let frame = 0;
let last = null; // the request of the take that is shown
const reading = new Reading($("reading"), correct);

function say(message, bad = false) {
  $("status").textContent = message;
  $("status").classList.toggle("bad", bad);
}

function explain(error) {
  if (error.name === "AbortError") return;
  if (error.status === 401) {
    $("settings").open = true;
    $("key").focus();
  }
  say(error.status === 401 ? `${t("keyHint")} (${error.message})` : error.message, true);
}

/** End what is being spoken; the samples that have come stay. */
function halt() {
  calls.abort();
  calls = new AbortController();
  take?.close();
  $("audio").pause();
}

function finish(spoken) {
  spoken.complete = true;
  if (take !== spoken) return;
  spoken.expected = spoken.seconds;
  $("seconds").textContent = `${spoken.seconds.toFixed(2)} s`;
  URL.revokeObjectURL($("audio").src);
  $("audio").src = URL.createObjectURL(spoken.wav());
}

async function speak() {
  halt();
  const asked = request();
  const { signal } = calls;
  const began = performance.now();
  let spoken = null;
  say(t("speaking"));
  showPlaying(true);
  try {
    await stream(asked, signal, (headers) => {
      spoken = new Take(Number(headers.get("X-Sample-Rate")));
      take = spoken;
      last = asked;
      $("result").hidden = false;
      reading.show({ sentences: [] });
      $("seconds").textContent = "…";
      $("revision").textContent = headers.get("X-Revision").replace("sha256:", "").slice(0, 12);
      showNotices(JSON.parse(headers.get("X-Notices") ?? "[]"));
      showReading(asked, spoken, signal);
      watch();
    }, (samples) => {
      if (!spoken.length) {
        $("first").textContent = `${Math.round(performance.now() - began)} ms`;
        say("");
      }
      spoken.add(samples);
    });
    history.remember(asked);
    showHistory();
  } catch (error) {
    if (spoken?.length && error.name !== "AbortError") say(`${t("broken")} (${error.message})`, true);
    else explain(error);
  }
  if (spoken?.length) finish(spoken);
  else if (!signal.aborted) showPlaying(false);
}

/** Words and their times; without them speech is as good. */
async function showReading(asked, spoken, signal) {
  try {
    const timing = await json("v1/audio/subtitles", asked, signal);
    if (take !== spoken) return;
    spoken.expected = timing.duration;
    reading.show(timing);
  } catch (error) {
    if (error.name !== "AbortError") console.warn(error);
  }
}

/** Draw and mark from the next frame on; there is one such loop, whatever is started. */
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

function correct(word, pinyin) {
  $("word").textContent = word;
  $("pinyin").value = readingOf(word) ?? pinyin;
  $("correction").returnValue = "";
  $("correction").showModal();
  $("pinyin").select();
}

async function download() {
  try {
    const response = await ask("v1/audio/speech", { ...last, response_format: $("format").value, stream: false });
    const link = element("a", "", { download: `kubevoice.${$("format").value}` });
    link.href = URL.createObjectURL(await response.blob());
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  } catch (error) {
    explain(error);
  }
}

function showHistory() {
  const found = history.entries();
  $("past").hidden = !found.length;
  $("entries").replaceChildren(...found.map(({ when, request: asked }) => {
    const row = element("li", "");
    const button = element("button", "", { type: "button", class: "entry", title: t("restore") });
    const facts = [new Date(when).toLocaleTimeString(), asked.emotion && emotionName(asked.emotion), asked.speaker];
    button.append(element("span", asked.input, { lang: "zh-CN" }), element("small", facts.filter(Boolean).join(" · ")));
    button.addEventListener("click", () => {
      restore(asked);
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
    offer((await json("v1/voices")).voices);
    say("");
  } catch (error) {
    explain(error);
  }
}

function theme(chosen) {
  if (chosen) document.documentElement.dataset.theme = chosen;
}

function start() {
  theme(localStorage.getItem("theme"));
  clear();
  $("key").value = key();
  showAll();
  $("form").addEventListener("submit", (event) => {
    event.preventDefault();
    speak();
  });
  $("form").addEventListener("reset", () => setTimeout(() => {
    clear();
    $("key").value = key();
    showAll();
    say("");
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
    halt();
    reading.follow(null);
    showPlaying(false);
    say(t("stopped"));
  };
  $("stop").addEventListener("click", stop);
  $("pause").addEventListener("click", () => take.pause().then(() => showPlaying(true)));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit();
    if (event.key === "Escape" && !$("correction").open) stop();
  });
  $("audio").addEventListener("play", () => {
    take.close(); // what is heard is heard once
    watch();
  });
  $("download").addEventListener("click", download);
  $("correction").addEventListener("close", () => {
    if ($("correction").returnValue !== "save" || !$("pinyin").value.trim()) return;
    setReading($("word").textContent, $("pinyin").value.trim());
    speak();
  });
  $("forget").addEventListener("click", () => {
    history.forget();
    showHistory();
  });
  $("language").addEventListener("click", () => {
    switchLanguage();
    showAll();
  });
  $("theme").addEventListener("click", () => {
    const dark = getComputedStyle(document.documentElement).colorScheme === "dark" ||
      (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
    theme(dark ? "light" : "dark");
    localStorage.setItem("theme", document.documentElement.dataset.theme);
    if (take) draw($("waveform"), take, take.position);
  });
  loadVoices();
}

start();
