import { usage } from '../client/client-error.js';
import { showValue, valuesAt } from './json-path.js';

/** `status.phase=Running,metadata.name!=web`: any field of the object, which is more than an API server takes. */
export function parseFieldSelector(text: string): (object: unknown) => boolean {
  const checks = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part) => {
      const match = /^([^=!]+?)\s*(==|=|!=)\s*(.*)$/.exec(part);
      if (!match) throw usage(`read the field selector: ${JSON.stringify(part)} is neither PATH=VALUE nor PATH!=VALUE`);
      const [, path = '', operator, value = ''] = match;
      return (object: unknown): boolean =>
        (valuesAt(path, object).map(showValue).join(',') === value) === (operator !== '!=');
    });
  return (object) => checks.every((check) => check(object));
}
