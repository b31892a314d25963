// What the processes of a watcher have started, asked for while somebody looks.

import { useEffect, useState } from '../vendor/hooks.js';
import { call } from './commands.js';
import { isLive } from './store.js';

const OFTEN = 3000; // milliseconds
const SELDOM = 10000; // where there was nothing

/** By process what is below it, with what it takes itself; empty until it is known, and where nothing runs. */
export function useBelow(name, runs) {
  const [told, setTold] = useState(new Map());
  useEffect(() => {
    if (!runs) { setTold(new Map()); return undefined; }
    let timer = 0;
    let away = false;
    const ask = async () => {
      let some = false;
      if (!document.hidden && isLive()) {
        const reply = await call('tree', { name, match: 'simple' }).catch(() => null);
        if (away) return;
        const listed = reply?.watchers?.[name];
        if (listed) {
          some = listed.some((process) => process.below.length);
          setTold(new Map(listed.map((process) => [process.wid, process])));
        }
      }
      timer = setTimeout(ask, some || document.hidden ? OFTEN : SELDOM);
    };
    ask();
    return () => { away = true; clearTimeout(timer); };
  }, [name, runs]);
  return told;
}
