// Lines that are JSON objects: read when they are drawn, and never before.

const LONGEST = 65536; // characters that are read
const DEEPEST = 4;

/** The object that a line is, or null. */
export function objectOf(text) {
  const begin = text.indexOf('{');
  // A logger's own heading may stand before it, a short one.
  if (begin < 0 || begin > 80 || text.length > LONGEST || text.charCodeAt(text.trimEnd().length - 1) !== 125) return null;
  try {
    const value = JSON.parse(text.slice(begin));
    return value && typeof value === 'object' && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

/** Its fields as `[name, value]`, those of inner objects with dots between the names. */
export function fieldsOf(object, prefix = '', depth = 0) {
  const fields = [];
  for (const [name, value] of Object.entries(object)) {
    const inner = value && typeof value === 'object' && !Array.isArray(value) && depth < DEEPEST;
    if (inner && Object.keys(value).length) fields.push(...fieldsOf(value, `${prefix}${name}.`, depth + 1));
    else fields.push([prefix + name, value]);
  }
  return fields;
}

/** The value of a field with that name; undefined where there is none. */
export function valueOf(object, name) {
  if (Object.hasOwn(object, name)) return object[name];
  const at = name.indexOf('.');
  if (at < 0) return undefined;
  const inner = Object.hasOwn(object, name.slice(0, at)) ? object[name.slice(0, at)] : null;
  return inner && typeof inner === 'object' ? valueOf(inner, name.slice(at + 1)) : undefined;
}

/** A value as it is shown and compared: a text as it is, all else as JSON. */
export function shownValue(value) {
  return typeof value === 'string' ? value : JSON.stringify(value) ?? '';
}
