import { usage } from '../client/client-error.js';
import { showValue, valuesAt } from './json-path.js';

/** `NAME:.metadata.name,IP:.status.podIP` as kubectl reads it; what is not there is `<none>`. */
export function customColumns(
  spec: string,
  objects: readonly object[],
): { readonly header: readonly string[]; readonly rows: readonly (readonly string[])[] } {
  const columns = spec.split(/,(?![^[]*\])/).map((part): [string, string] => {
    const colon = part.indexOf(':');
    if (colon <= 0 || colon === part.length - 1)
      throw usage(`read the columns: ${JSON.stringify(part)} is not HEADING:PATH, as in NAME:.metadata.name`);
    return [part.slice(0, colon), part.slice(colon + 1)];
  });
  return {
    header: columns.map(([heading]) => heading),
    rows: objects.map((object) =>
      columns.map(([, path]) => valuesAt(path, object).map(showValue).join(',') || '<none>'),
    ),
  };
}
