import { constants } from 'node:os';

const rtMin = 34;
const rtMax = 64;

/**
 * The number of a stop signal: `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3` (images), `SIGRTMINPLUS3` (CRI). Undefined when it names none.
 */
export function signalNumber(name: string): number | undefined {
  if (/^\d+$/.test(name)) {
    const number = Number(name);
    return number >= 1 && number <= rtMax ? number : undefined;
  }
  const upper = name.toUpperCase();
  const full = upper.startsWith('SIG') ? upper : `SIG${upper}`;
  const realTime = /^SIGRT(MIN|MAX)(?:(\+|-|PLUS|MINUS)(\d+))?$/.exec(full);
  if (realTime) {
    const offset = Number(realTime[3] ?? 0) * (realTime[2] === '-' || realTime[2] === 'MINUS' ? -1 : 1);
    const number = (realTime[1] === 'MIN' ? rtMin : rtMax) + offset;
    return number >= rtMin && number <= rtMax ? number : undefined;
  }
  const aliases: Readonly<Record<string, string>> = { SIGCLD: 'SIGCHLD', SIGPOLL: 'SIGIO' };
  const known: Readonly<Record<string, number>> = constants.signals;
  return known[aliases[full] ?? full];
}

/** CRI's spelling of a signal, `RUNTIME_DEFAULT` when it has none. */
export function criSignal(number: number): string {
  if (number > rtMin && number < rtMax) {
    return number <= rtMin + 15 ? `SIGRTMINPLUS${number - rtMin}` : `SIGRTMAXMINUS${rtMax - number}`;
  }
  if (number === rtMin) return 'SIGRTMIN';
  if (number === rtMax) return 'SIGRTMAX';
  const found = Object.entries(constants.signals).find(
    ([name, value]) => value === number && name !== 'SIGIOT' && name !== 'SIGPOLL' && name !== 'SIGUNUSED',
  );
  return found?.[0] ?? 'RUNTIME_DEFAULT';
}
