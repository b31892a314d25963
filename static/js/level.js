// The level of a line, where the line says it. A line that says nothing has none: no guess.

import { levels } from './words.js';

/** Names by number; 0 is "none was said". */
export const LEVELS = ['', 'DBG', 'INF', 'WRN', 'ERR'].map((word, at) => ({ word, label: levels[at] }));

const NUMBERS = {
  trace: 1, trc: 1, debug: 1, dbg: 1, verbose: 1,
  info: 2, inf: 2, information: 2, notice: 2,
  warning: 3, warn: 3, wrn: 3,
  error: 4, err: 4, critical: 4, crit: 4, fatal: 4, emerg: 4, alert: 4, panic: 4, severe: 4,
};

// In the head of a line, where loggers put it: [warn], <error>, level=info, "level":"error", WARNING:, ERROR -, a bare upper-case word.
const SAID = new RegExp(
  String.raw`[[<(](trace|debug|dbg|info|notice|warn|warning|error|err|crit|critical|fatal|alert|emerg|panic)[\])>]`
  + String.raw`|\b(?:level|lvl|severity)["']?\s*[=:]\s*["']?(trace|debug|info|notice|warn|warning|error|critical|fatal|panic)\b`
  + String.raw`|^\s*(trace|debug|info|notice|warn|warning|error|critical|fatal|panic)\s?(?::|\s-|\|)`,
  'i',
);
const BARE = /(?:^|[\s:|])(TRACE|TRC|DEBUG|DBG|INFO|INF|NOTICE|WARN|WARNING|WRN|ERROR|ERR|CRITICAL|CRIT|FATAL|PANIC|SEVERE)(?=$|[\s:|\]])/;
const KLOG = /^([DIWEF])\d{4} \d\d:\d\d:\d\d/;
const KLOG_NUMBERS = { D: 1, I: 2, W: 3, E: 4, F: 4 };
const HEAD = 120;

/** The number of the level that the line names in its head, or 0. */
export function levelOf(text) {
  const head = text.length > HEAD ? text.slice(0, HEAD) : text;
  const bare = BARE.exec(head);
  if (bare) return NUMBERS[bare[1].toLowerCase()];
  const said = SAID.exec(head);
  if (said) return NUMBERS[(said[1] || said[2] || said[3]).toLowerCase()];
  const klog = KLOG.exec(head);
  return klog ? KLOG_NUMBERS[klog[1]] : 0;
}
