import { usage } from '../client/client-error.js';

export type Labels = Readonly<Record<string, string>>;

/** A Kubernetes label selector: `a=b`, `a!=b`, `a`, `!a`, `a in (x,y)`, `a notin (x)`, joined by commas. */
export function parseSelector(text: string): (labels: Labels) => boolean {
  const parts = splitOutsideBrackets(text)
    .map((part) => part.trim())
    .filter((part) => part !== '');
  const checks = parts.map((part) => parsePart(part));
  return (labels) => checks.every((check) => check(labels));
}

function parsePart(part: string): (labels: Labels) => boolean {
  const set = /^(\S+)\s+(in|notin)\s*\(([^)]*)\)$/.exec(part);
  if (set) {
    const [, key = '', operator, list = ''] = set;
    const values = list.split(',').map((value) => value.trim());
    return (labels) => {
      const own = labels[key];
      return operator === 'in' ? own !== undefined && values.includes(own) : own === undefined || !values.includes(own);
    };
  }
  const pair = /^([^!=\s]+)\s*(==|=|!=)\s*([^!=\s]*)$/.exec(part);
  if (pair) {
    const [, key = '', operator, value = ''] = pair;
    return (labels) => (labels[key] === value) === (operator !== '!=');
  }
  const exists = /^(!?)([^!=\s()]+)$/.exec(part);
  if (exists) {
    const [, not, key = ''] = exists;
    return (labels) => (labels[key] !== undefined) === (not === '');
  }
  throw usage(`read the selector: ${JSON.stringify(part)} is none of a=b, a!=b, a, !a, a in (b, c), a notin (b, c)`);
}

function splitOutsideBrackets(text: string): string[] {
  return text.split(/,(?![^(]*\))/);
}
