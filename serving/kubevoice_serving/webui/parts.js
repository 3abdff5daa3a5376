/** Long texts in parts that one request takes each, cut after sentences. */

export const MAX_CHARACTERS = 4096;
const PART_CHARACTERS = 1000; // shorter than a request may be, so that progress is seen
const SENTENCE = /[^。！？!?；;…\n]*(?:[。！？!?；;…\n]+[”’"」』）)\s]*|$)/g;
const CLAUSE = /[^，,、：:\s]*(?:[，,、：:\s]+|$)/g;

const match = (text, pattern) => text.match(pattern).filter((piece) => piece);

/** Pieces of at most PART_CHARACTERS: sentences, the clauses of a longer one, or equal cuts of a longer clause. */
function* pieces(text) {
  for (const sentence of match(text, SENTENCE)) {
    for (const clause of sentence.length > PART_CHARACTERS ? match(sentence, CLAUSE) : [sentence]) {
      const characters = Array.from(clause); // so that no surrogate pair is cut
      for (let at = 0; at < characters.length; at += PART_CHARACTERS) {
        yield characters.slice(at, at + PART_CHARACTERS).join("");
      }
    }
  }
}

/** The parts of a plain text, in order; one if a request takes it whole. */
export function splitText(text) {
  if (text.length <= MAX_CHARACTERS) return [text];
  const parts = [""];
  for (const piece of pieces(text)) {
    if (parts.at(-1).length + piece.length > PART_CHARACTERS) parts.push("");
    parts[parts.length - 1] += piece;
  }
  return parts.filter((part) => part.trim());
}
