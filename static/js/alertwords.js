// Every phrase of alerts, ready to be translated: apart from the others, as most never ask for one.

export const told = {
  title: 'Tell me when such a line comes',
  line: 'Text, /regex/ or !not',
  from: (names) => (names === null ? 'of all watchers' : `of ${names.join(', ')}`),
  add: 'Tell me',
  how: 'It is looked for while a page of the console is open in this browser, and kept here for you. You are told at most every 30 seconds; what comes meanwhile is counted.',
  many: (most) => `${most} at most: take one back first`,
  same: 'You are told of that already',
  yours: 'You are told of',
  none: 'You have not asked for any yet.',
  remove: (what) => `Do not tell me of ${what} any more`,
  late: 'takes too long, and is not looked for',
  allowed: 'While the page is hidden, the browser notifies you.',
  allow: 'Let the browser notify me while the page is hidden',
  denied: 'The browser has been told not to let this page notify you: marks in the page are all there is.',
  unsafe: 'Browsers let only pages by https or on this machine notify you: marks in the page are all there is.',
  region: 'Lines that you wanted to be told of',
  came: (watcher, wid) => `${watcher} ${wid}`,
  more: (count, many) => `and ${count} ${many ? 'lines' : 'line'} like it`,
  show: 'Show it',
  dismiss: (watcher) => `Take the line of ${watcher} away`,
};
