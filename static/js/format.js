// Numbers, sizes, spans and times as text. A value and its unit come apart so that the unit can be drawn quietly.

const whole = new Intl.NumberFormat('en-US');

export function count(number) {
  return whole.format(number);
}

/** Per cent of one core: one digit behind the point below 1,000. */
export function percent(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return null;
  return [value < 1000 ? value.toFixed(1) : count(Math.round(value)), '%'];
}

/** How many a second: one digit behind the point where it means something. */
export function rate(value) {
  return value < 9.95 ? String(Number(value.toFixed(1))) : count(Math.round(value));
}

const SIZES = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function bytes(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return null;
  let step = 0;
  let left = value;
  while (left >= 1000 && step < SIZES.length - 1) { left /= 1024; step += 1; }
  // Three figures where they mean something: 1.08 GiB, 64 MiB, 5.2 MiB.
  const digits = step < 2 || left >= 100 ? 0 : step === 2 ? Number(left < 10) : left < 10 ? 2 : 1;
  const text = left.toFixed(digits);
  return [Number(text) % 1 === 0 ? String(Number(text)) : text, SIZES[step]];
}

const two = (number) => String(number).padStart(2, '0');

/** How long something has been so: 0:07, 14:05, 3:02:11, 12 d 06:40. */
export function span(seconds) {
  const all = Math.max(0, Math.floor(seconds));
  const days = Math.floor(all / 86400);
  const hours = Math.floor((all % 86400) / 3600);
  const minutes = Math.floor((all % 3600) / 60);
  if (days) return `${days} d ${two(hours)}:${two(minutes)}`;
  if (hours) return `${hours}:${two(minutes)}:${two(all % 60)}`;
  return `${minutes}:${two(all % 60)}`;
}

/** A short wait in words: 0.4 s, 12 s, 3 min. */
export function wait(seconds) {
  if (seconds < 0.95) return `${Math.max(0, seconds).toFixed(1)} s`;
  if (seconds < 99.5) return `${Math.round(seconds)} s`;
  if (seconds < 5970) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}

export function clock(epoch) {
  const at = new Date(epoch * 1000);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** The time of a log line, to the millisecond. */
export function clockFine(epoch) {
  const at = new Date(epoch * 1000);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, '0')}`;
}

const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });

/** Clock on the same day, else the date: for "last event". */
export function when(epoch, now) {
  const at = new Date(epoch * 1000);
  if (at.toDateString() === new Date(now * 1000).toDateString()) return `${two(at.getHours())}:${two(at.getMinutes())}`;
  return day.format(at);
}

/** A moment as the clocks of a time zone show it, with that zone; as those here do where it is none. */
export function inZone(epoch, now, zone) {
  const seconds = epoch % 60 ? { second: '2-digit' } : {};
  let form;
  try {
    form = (more) => new Intl.DateTimeFormat('en-GB', { ...more, timeZone: zone || undefined }).format(new Date(epoch * 1000));
    form({});
  } catch { return stamp(epoch, now); }
  const date = form({ day: 'numeric', month: 'short' });
  const today = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', timeZone: zone || undefined }).format(new Date(now * 1000));
  return `${date === today ? '' : `${date} `}${form({ hour: '2-digit', minute: '2-digit', ...seconds })} ${zone}`.trim();
}

/** Clock on the same day, else the day before it. */
export function stamp(epoch, now) {
  const at = new Date(epoch * 1000);
  return at.toDateString() === new Date(now * 1000).toDateString() ? clock(epoch) : `${day.format(at)} ${clock(epoch)}`;
}

// Letters that are not seen, or that turn round what stands beside them: a line with them would not say what it does.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/** One word of a command line, quoted as a shell needs it; what can't be seen is written by its number, as bash and zsh read it. */
export function word(text) {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text;
  if (text.search(UNSEEN) < 0) return `'${text.replaceAll("'", "'\\''")}'`;
  return `$'${text.replace(/[\\']/g, '\\$&').replace(UNSEEN, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`)}'`;
}
