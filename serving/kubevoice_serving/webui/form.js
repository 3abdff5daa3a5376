/** The form: the text and its settings, to and from a request. */

import { MAX_CHARACTERS, splitText } from "./parts.js";
import { emotionName, t } from "./strings.js";

export const $ = (id) => document.getElementById(id);
const EXAMPLES = [
  "今天天气真好，我们一起去公园散步吧！",
  "请在2026年11月24日15:30前，到3号楼208室领取快递。",
  "银行行长说，这一行的长处是稳。",
];
const SSML_EXAMPLE = '<speak>您好，<break time="400ms"/><prosody rate="slow">请慢慢说</prosody>，' +
  '我的名字叫<phoneme alphabet="py" ph="chong2">重</phoneme>阳。</speak>';
export const SLIDERS = ["intensity", "speed", "pitch", "volume"];

let voices = [];
let lexicon = {};

export function element(name, text, attributes = {}) {
  const node = document.createElement(name);
  node.textContent = text;
  for (const [attribute, value] of Object.entries(attributes)) node.setAttribute(attribute, value);
  return node;
}

const ssml = () => document.querySelector("[name=mode]:checked").value === "ssml";

export function request() {
  return {
    input: $("text").value,
    ssml: ssml(),
    voice: $("voice").value || null,
    emotion: $("emotion").value || null,
    speaker: $("speaker").value || null,
    ...Object.fromEntries(SLIDERS.map((id) => [id, Number($(id).value)])),
    ...(Object.keys(lexicon).length && { lexicon }),
  };
}

export function restore(body) {
  document.querySelector(`[name=mode][value=${body.ssml ? "ssml" : "plain"}]`).checked = true;
  $("text").value = body.input;
  if (voices.some((each) => each.name === body.voice)) $("voice").value = body.voice;
  showVoice(body.emotion, body.speaker);
  for (const id of SLIDERS) $(id).value = body[id];
  lexicon = { ...body.lexicon };
  showCorrections();
  showForm();
}

/** Set the reading of a word for later requests. */
export function setReading(word, pinyin) {
  lexicon[word] = pinyin;
  showCorrections();
}

export const readingOf = (word) => lexicon[word];

export function showCorrections() {
  $("corrections").replaceChildren(...Object.entries(lexicon).map(([word, pinyin]) => {
    const chip = element("button", `${word} ${pinyin} ✕`, { type: "button", title: t("forget") });
    chip.addEventListener("click", () => {
      delete lexicon[word];
      showCorrections();
    });
    return chip;
  }));
}

function fill(select, options, chosen) {
  select.replaceChildren(...options.map(([value, label]) => element("option", label, { value })));
  if (options.some(([value]) => value === chosen)) select.value = chosen;
  select.closest(".field").hidden = options.length < 2;
}

/** Show the emotions and speakers of the chosen voice. */
export function showVoice(emotion = $("emotion").value || "neutral", speaker = $("speaker").value) {
  const voice = voices.find((each) => each.name === $("voice").value);
  if (!voice) return;
  fill($("emotion"), voice.emotions.map((label) => [label, emotionName(label)]), emotion);
  fill($("speaker"), voice.speakers.map((name) => [name, name]), speaker);
  $("intensity").closest(".field").hidden = voice.emotions.length < 2;
}

/** Show the voices of the server. */
export function showVoices(loaded) {
  voices = loaded;
  fill($("voice"), voices.map(({ name }) => [name, name]), voices.find((each) => each.default)?.name);
  showVoice("neutral");
}

export function showForm() {
  for (const id of SLIDERS) {
    const value = Number($(id).value);
    const unit = id === "pitch" ? ` ${t("semitones")}` : "×";
    $(`${id}-value`).textContent = `${id === "pitch" && value > 0 ? "+" : ""}${value}${unit}`;
  }
  const { length } = $("text").value;
  const parts = ssml() ? 1 : splitText($("text").value).length;
  $("count").textContent = ssml() ? `${length} / ${MAX_CHARACTERS}` : t("count", length, parts);
}

export function showExamples() {
  const example = (text, label, mode) => {
    const button = element("button", label, { type: "button", title: text });
    button.addEventListener("click", () => {
      restore({ ...request(), input: text, ssml: mode, lexicon: {} });
      $("text").focus();
    });
    return button;
  };
  $("examples").replaceChildren(
    ...EXAMPLES.map((text) => example(text, text, false)),
    example(SSML_EXAMPLE, `SSML: ${SSML_EXAMPLE.replace(/<[^>]+>/g, "")}`, true),
  );
}

/** Set the form to its initial state. */
export function resetForm() {
  lexicon = {};
  $("text").value = EXAMPLES[0];
  showVoice("neutral", "");
}
