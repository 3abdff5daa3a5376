/** The voices of the server as cards, with a sample of each emotion. */

import { call } from "./api.js";
import { $, element } from "./form.js";
import { emotionName, t } from "./strings.js";

const SAMPLE = "你好，很高兴认识你。";
const player = new Audio();
const addresses = new Map(); // of samples that were fetched, by revision and emotion
let playing = null; // the button of the sample

function stopSample() {
  player.pause();
  playing?.setAttribute("aria-pressed", "false");
  playing = null;
}

async function playSample(button, voice, emotion) {
  const wasPlaying = playing === button;
  stopSample();
  if (wasPlaying) return;
  playing = button;
  button.setAttribute("aria-pressed", "true");
  const id = `${voice.revision} ${emotion}`;
  if (!addresses.has(id)) {
    const response = await call("v1/audio/speech", { input: SAMPLE, voice: voice.name, emotion, response_format: "mp3" });
    addresses.set(id, URL.createObjectURL(await response.blob()));
  }
  if (playing !== button) return;
  player.src = addresses.get(id);
  await player.play();
}

player.addEventListener("ended", stopSample);

function describeVoice(voice) {
  const details = [
    voice.default && t("defaultVoice"),
    { available: t("onDemand"), failed: t("cannotLoad") }[voice.state],
    voice.language,
    voice.sample_rate && `${voice.sample_rate / 1000} kHz`,
    voice.speakers.length > 1 && `${t("speaker")}: ${voice.speakers.join(", ")}`,
  ];
  return details.filter(Boolean).join(" · ");
}

function buildCard(voice, onError) {
  const card = element("article", "", { class: "voice" });
  const samples = element("div", "", { class: "chips", role: "group", "aria-label": t("samples") });
  for (const emotion of voice.emotions.length ? voice.emotions : [null]) {
    const label = `▶ ${emotion ? emotionName(emotion) : t("sample")}`;
    const button = element("button", label, { type: "button", "aria-pressed": "false" });
    button.addEventListener("click", () => playSample(button, voice, emotion).catch((error) => {
      stopSample();
      onError(error);
    }));
    samples.append(button);
  }
  card.append(element("h3", voice.name), element("p", describeVoice(voice)), samples);
  if (voice.attribution.length) card.append(element("p", voice.attribution.join(" "), { class: "attribution", lang: "en" }));
  return card;
}

export function showVoiceCards(voices, onError) {
  stopSample();
  $("voices").hidden = !voices.length;
  $("cards").replaceChildren(...voices.map((voice) => buildCard(voice, onError)));
}
