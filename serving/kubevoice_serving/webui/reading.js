/** The reading: each word with its pinyin. The word that is being played is marked. */

const MARKS = { a: "āáǎà", e: "ēéěè", i: "īíǐì", o: "ōóǒò", u: "ūúǔù", "ü": "ǖǘǚǜ" };

/** zhong1 → zhōng: the mark goes on a, e or the o of ou; otherwise on the last vowel. */
export function addToneMark(syllable) {
  const match = /^([a-zêü]+?)([0-5])$/i.exec(syllable.replace(/v/g, "ü"));
  if (!match) return syllable;
  const [, letters, tone] = match;
  if (tone === "0" || tone === "5") return letters;
  const vowel = ["a", "e"].find((v) => letters.includes(v)) ?? (letters.includes("ou") ? "o" : null);
  const at = vowel ? letters.indexOf(vowel) : Math.max(...[..."iouü"].map((v) => letters.lastIndexOf(v)));
  return at < 0 ? syllable : letters.slice(0, at) + MARKS[letters[at]][tone - 1] + letters.slice(at + 1);
}

export class Reading {
  /** `onWord` is called with a Mandarin word and its pinyin when it is clicked. */
  constructor(container, onWord) {
    this.container = container;
    this.onWord = onWord;
    this.timedNodes = [];
  }

  clear() {
    this.timedNodes = [];
    this.container.replaceChildren();
  }

  /** Add sentences whose times count from `from` seconds of the take. */
  append(timing, from) {
    this.container.append(...timing.sentences.map((sentence) => {
      const line = document.createElement("p");
      line.className = "sentence";
      this.time(line, sentence, from);
      let rest = sentence.text;
      for (const word of sentence.words) {
        const at = Math.max(0, rest.indexOf(word.text)); // between words is punctuation
        line.append(rest.slice(0, at), this.word(word, from));
        rest = rest.slice(at + word.text.length);
      }
      line.append(rest);
      return line;
    }));
  }

  time(node, { start, end }, from) {
    this.timedNodes.push({ node, start: from + start, end: from + end });
  }

  word(word, from) {
    const node = document.createElement(word.characters.length ? "button" : "span");
    node.className = "word";
    if (word.characters.length) {
      node.type = "button";
      node.addEventListener("click", () => this.onWord(word.text, word.characters.map((each) => each.pinyin).join(" ")));
    }
    node.append(...(word.characters.length ? word.characters.map(ruby) : [word.text]));
    this.time(node, word, from);
    return node;
  }

  /** Mark what is played at `position` seconds; nothing if null. */
  follow(position) {
    for (const { node, start, end } of this.timedNodes) {
      node.classList.toggle("playing", position !== null && start <= position && position < end);
    }
  }
}

function ruby({ char, pinyin }) {
  const node = document.createElement("ruby");
  const annotation = document.createElement("rt");
  annotation.lang = "zh-Latn-pinyin";
  annotation.textContent = addToneMark(pinyin);
  node.append(char, annotation);
  return node;
}
