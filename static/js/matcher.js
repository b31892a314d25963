// A worker: looks for a regular expression in batches of lines. Whoever started it ends it when that takes too long.

const PLACES = 200; // in one line

function placesIn(text, pattern) {
  const places = [];
  for (const found of text.matchAll(pattern)) {
    if (found[0]) places.push([found.index, found.index + found[0].length]);
    if (places.length >= PLACES) break;
  }
  return places;
}

onmessage = ({ data: { id, regex, flags, texts, where } }) => {
  if (where) {
    const pattern = new RegExp(regex, `${flags}g`);
    postMessage({ id, found: texts.map((text) => placesIn(text, pattern)) });
    return;
  }
  const pattern = new RegExp(regex, flags);
  postMessage({ id, found: Uint8Array.from(texts, (text) => (pattern.test(text) ? 1 : 0)) });
};
