// Every phrase of schedules and runs, ready to be translated: apart from the others, as most watchers have none.

export const runs = {
  title: 'Runs', schedule: 'Schedule', next: 'Next run', last: 'Last run', rule: 'While one goes on', limit: 'Time limit', none: 'none',
  notInForce: 'not in force', notInForceHelp: 'The watcher is stopped: nothing runs by itself until it is started. A run by hand is possible.',
  never: 'never again', from: (span) => `in ${span}`, ago: (span) => `${span} ago`, queued: 'another one waits',
  rules: { skip: 'the next one is left out', queue: 'the next one waits', replace: 'the next one takes its place' },
  heads: { number: 'Run', planned: 'Planned', began: 'Began', took: 'Took', result: 'Result', exit: 'Exit', why: 'Why', output: 'Output' },
  results: {
    running: 'running', succeeded: 'succeeded', failed: 'failed', 'timed out': 'timed out', stopped: 'stopped', replaced: 'replaced',
    skipped: 'left out', missed: 'missed', lost: 'lost',
  },
  times: (number) => `${number} times`,
  why: { planned: 'planned', 'caught up': 'caught up', 'by hand': 'by hand' }, by: (person) => `by ${person}`,
  signal: (number) => `signal ${number}`, noOutput: 'none', gone: 'gone', goneHelp: 'It was written before circusd was started anew: circusctl grep --files may still find it in a log file.', toOutput: (number) => `What run ${number} has written`, open: 'Open',
  noRuns: 'It has not run yet.', more: (number) => `The last ${number} are shown; circusctl runs shows more.`,
  kept: 'Kept over restarts of circusd; those that were left out or missed in a row stand as one.',
};
