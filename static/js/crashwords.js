// Every phrase of crash reports, ready to be translated: apart from the others, as most never open one.

export const told = {
  title: 'Crashes', none: 'None of its processes has failed, as far as circusd remembers.',
  noneMore: 'A process fails when it ends by a signal that circusd did not send, with an exit code that is no success, or when it does not start or does not become ready.',
  number: (many) => `${many} ${many === '1' ? 'report' : 'reports'}`, notKept: (why) => `They will not outlive circusd: ${why}`,
  last: 'Last', process: 'Process', how: 'How it ended', up: 'Uptime', times: 'Times', report: (id) => `Report ${id}`, reports: 'Reports',
  sentence: (wid, how, after) => `Process ${wid} ${how}${after ? ` after ${after}` : ''}.`, means: (what) => `Usually that means: ${what}.`, killer: (what) => `About SIGKILL: ${what}.`,
  copy: 'Copy as text', copied: 'Copied', link: 'Link to this report', toLog: 'Log of that moment', gone: (id) => `There is no report ${id} any more.`, loading: 'The report is being asked for.',
  ago: (span) => `${span} ago`, after: (span) => `after ${span}`, lasted: (count, span) => `${count} times, the last ${span} ago; this is the first`, others: (count) => `${count} more failures, too many to be looked at`,
  facts: { ended: 'Ended', started: 'Started', pid: 'Pid', times: 'How often', others: 'And then', stop: 'Meanwhile', sent: 'circusd sent', core: 'Core dump', processor: 'Processor', memory: 'Memory at most', faults: 'Page faults', switches: 'Context switches', disks: 'Read, written', next: 'What came next', exit: 'Exit' },
  stopped: (command, by) => `it was being stopped: ${command}${by ? ` by ${by}` : ''}`, sentAt: (signal, time, by) => `${signal} at ${time}${by ? `, by ${by}` : ''}`,
  core: { unknown: 'dumped, it is not known where to', given: (handler) => `given to ${handler}`, missing: (path) => `should be ${path}, and is not there`, at: (path, size) => `${path}, ${size}` },
  processor: (user, system) => `${user} s user, ${system} s system`, noMore: 'no more than', faults: (minor, major) => `${minor} minor, ${major} major`, switches: (own, forced) => `${own} own, ${forced} forced`, blocks: (read, written) => `${read}, ${written} blocks`,
  code: (code) => `code ${code}`,
  before: 'Before its end', beforeMore: (span) => `the whole watcher, ${span}`, cpu: 'CPU', memory: 'Memory', most: 'most', noLoad: 'No sample was taken of its watcher so shortly before; they come once a minute (stats_history).',
  changed: 'What is different', since: (time) => `since the last good start, ${time}`, sinceStart: (time) => `since it was started, ${time}`, noStart: 'It has not had a good start since circusd has started, so there is nothing to compare with.', same: 'Neither its options nor its files have changed.',
  option: 'What', was: 'Then', now: 'At its end', notSet: 'not set', isGone: 'gone', kinds: { executable: 'program', argument: 'file', env_file: 'variables' }, written: (time, size) => `written ${time}, ${size}`, other: 'another file of that name',
  lines: 'Last lines', noLines: 'It has written nothing, or its output is not captured.', err: 'err', out: 'out',
};
