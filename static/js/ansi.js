// Terminal colours as spans. Text stays text: nothing here makes markup, and what a terminal would obey is taken out.

const DEFAULT = Object.freeze({ fg: null, bg: null, bold: false, dim: false, italic: false, under: false, inverse: false, strike: false });

/** The state that a fresh line begins with. */
export const plain = DEFAULT;

// CSI ... final byte | OSC, DCS, PM, APC ... up to BEL or ST (or the end) | other two-byte escapes
const ESCAPES = /\x1b(?:\[([0-?]*)[ -/]*([@-~]|$)|[\]PX^_](?:[^\x07\x1b]|\x1b(?!\\))*(?:\x07|\x1b\\|$)|[ -/]*[0-~]|$)/g;
// Beside control characters what turns the direction of text around, by which a line can be made to read otherwise.
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f\x80-\x9f\u202a-\u202e\u2066-\u2069]/g;

/** Whether the text holds anything that `strip` or `pieces` would change. */
export function hasEscapes(text) {
  return text.indexOf('\x1b') >= 0;
}

/** The text without escape sequences. */
export function strip(text) {
  return hasEscapes(text) ? text.replace(ESCAPES, '') : text;
}

/** Control characters as visible signs, such as ^M: a line must not be able to hide a part of itself. */
export function visible(text) {
  return text.replace(CONTROL, (sign) => {
    const code = sign.charCodeAt(0);
    return code < 0x20 ? `^${String.fromCharCode(code + 64)}` : code === 0x7f ? '^?' : '\ufffd';
  });
}

function palette(index) {
  if (index < 16) return index;
  const cube = index - 16;
  const level = (n) => (n ? 55 + n * 40 : 0);
  const rgb = index >= 232
    ? Array(3).fill(8 + (index - 232) * 10)
    : [level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6)];
  return hex(rgb);
}

function hex(rgb) {
  return `#${rgb.map((n) => Math.min(255, Math.max(0, n | 0)).toString(16).padStart(2, '0')).join('')}`;
}

/** A colour of `38` or `48`: its value, and how many parameters it took. */
function extended(codes, at) {
  if (codes[at] === 5 && codes[at + 1] >= 0 && codes[at + 1] < 256) return [palette(codes[at + 1]), 2];
  if (codes[at] === 2 && codes.length > at + 3) return [hex(codes.slice(at + 1, at + 4)), 4];
  return [null, codes.length - at];
}

/** The state after the parameters of one `m` sequence. */
function turned(state, parameters) {
  const next = { ...state };
  // Colons within one parameter: 38:5:n, 38:2::r:g:b (with an empty colour space), 4:3.
  const groups = parameters === '' ? [[0]] : parameters.split(';').map((part) => part.split(':').map((n) => (n === '' ? 0 : Number(n))));
  const flat = [];
  for (const group of groups) {
    if (group.length > 1 && (group[0] === 38 || group[0] === 48)) {
      const inner = group[1] === 2 && group.length > 5 ? [2, ...group.slice(3)] : group.slice(1);
      const [colour] = extended(inner, 0);
      if (group[0] === 38) next.fg = colour; else next.bg = colour;
    } else {
      flat.push(group.length > 1 && group[0] === 4 && group[1] === 0 ? 24 : group[0]);
    }
  }
  for (let at = 0; at < flat.length; at += 1) {
    const code = flat[at];
    if (code === 0) Object.assign(next, DEFAULT);
    else if (code === 1) next.bold = true;
    else if (code === 2) next.dim = true;
    else if (code === 3) next.italic = true;
    else if (code === 4 || code === 21) next.under = true;
    else if (code === 7) next.inverse = true;
    else if (code === 9) next.strike = true;
    else if (code === 22) { next.bold = false; next.dim = false; }
    else if (code === 23) next.italic = false;
    else if (code === 24) next.under = false;
    else if (code === 27) next.inverse = false;
    else if (code === 29) next.strike = false;
    else if (code >= 30 && code <= 37) next.fg = code - 30;
    else if (code >= 90 && code <= 97) next.fg = code - 82;
    else if (code >= 40 && code <= 47) next.bg = code - 40;
    else if (code >= 100 && code <= 107) next.bg = code - 92;
    else if (code === 39) next.fg = null;
    else if (code === 49) next.bg = null;
    else if (code === 38 || code === 48) {
      const [colour, taken] = extended(flat, at + 1);
      if (code === 38) next.fg = colour; else next.bg = colour;
      at += taken;
    }
  }
  return next;
}

function isPlain(state) {
  return state.fg === null && state.bg === null && !state.bold && !state.dim && !state.italic && !state.under && !state.inverse && !state.strike;
}

/** The state at the end of a line that began in `state`. */
export function after(text, state) {
  // Most programs end what they have coloured, and then it does not matter what that was.
  const last = text.lastIndexOf('\x1b');
  if (text.startsWith('\x1b[0m', last) || text.startsWith('\x1b[m', last)) return plain;
  let now = state;
  for (const found of text.matchAll(ESCAPES)) {
    if (found[2] === 'm') now = turned(now, found[1]);
  }
  return isPlain(now) ? plain : now;
}

/** The line as runs of `[text, state]`, without any escape sequence. */
export function pieces(text, state) {
  const runs = [];
  let now = state;
  let from = 0;
  for (const found of text.matchAll(ESCAPES)) {
    if (found.index > from) runs.push([text.slice(from, found.index), now]);
    if (found[2] === 'm') now = turned(now, found[1]);
    from = found.index + found[0].length;
  }
  if (from < text.length) runs.push([text.slice(from), now]);
  return runs;
}

function paint(span, kind, colour) {
  if (colour === null) return '';
  if (typeof colour === 'number') return ` ${kind}-${colour}`;
  // By the object model and not by an attribute: the page's policy allows only this.
  span.style.setProperty(`--${kind}`, colour);
  return ` ${kind}-own`;
}

function span(text, state) {
  const element = document.createElement('span');
  const [fg, bg] = state.inverse ? [state.bg, state.fg] : [state.fg, state.bg];
  let names = 'ansi' + paint(element, 'fg', fg) + paint(element, 'bg', bg);
  if (state.inverse && bg === null) names += ' inverse';
  if (state.bold) names += ' bold';
  if (state.dim) names += ' faint';
  if (state.italic) names += ' italic';
  if (state.under) names += state.strike ? ' under-strike' : ' under';
  else if (state.strike) names += ' strike';
  element.className = names;
  element.textContent = text;
  return element;
}

function node(text, state) {
  return isPlain(state) ? document.createTextNode(visible(text)) : span(visible(text), state);
}

/**
 * Nodes for a line: text and spans, ready to be put into an element. `places` are parts of it without its escape sequences
 * that are marked: `[from, to, class]`, in their order.
 */
export function nodes(text, state, places = []) {
  const runs = state === plain && !hasEscapes(text) ? [[text, plain]] : pieces(text, state);
  if (!places.length) return runs.map(([part, style]) => node(part, style));
  const made = [];
  let before = 0; // signs of the runs that are done
  let next = 0;
  for (const [part, style] of runs) {
    let from = 0;
    while (from < part.length) {
      while (next < places.length && places[next][1] <= before + from) next += 1;
      const place = places[next];
      const inside = place && place[0] <= before + from;
      const end = place ? Math.min(part.length, (inside ? place[1] : place[0]) - before) : part.length;
      const piece = node(part.slice(from, end), style);
      if (inside) made.push(marked(piece, place[2])); else made.push(piece);
      from = end;
    }
    before += part.length;
  }
  return made;
}

function marked(piece, name) {
  const element = document.createElement('mark');
  if (name) element.className = name;
  element.append(piece);
  return element;
}
