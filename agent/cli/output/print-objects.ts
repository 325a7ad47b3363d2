import type { CommandContext } from '../command-context.js';
import { usage } from '../client/index.js';
import { tableText } from './table.js';
import { loadYaml } from '../../../base/yaml.js';

export interface OutputFlags {
  readonly output?: string | undefined;
  readonly headers?: boolean | undefined;
}

/** What a command found, in every form it can be printed in. */
export interface Printable {
  readonly kind: string;
  /** One object was asked for by name: it is printed alone. */
  readonly single: boolean;
  readonly objects: readonly object[];
  readonly names: readonly string[];
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** For the empty case: `No resources found in default namespace.` */
  readonly nothing: string;
}

const columns = 'custom-columns=';
const path = 'jsonpath=';

/** True when the full objects are asked for, not a table of them. */
export function wantsObjects(output: string | undefined): boolean {
  return output === 'json' || output === 'yaml' || (output?.startsWith(path) ?? false);
}

export function checkOutput(output: string | undefined): void {
  if (output === undefined || ['wide', 'name'].includes(output) || wantsObjects(output)) return;
  if (output.startsWith(columns) && output.length > columns.length) return;
  throw usage(
    `read -o ${output}: expected json, yaml, name, wide, jsonpath=TEMPLATE or custom-columns=NAME:.metadata.name,...`,
  );
}

/** The table as it is asked for, with columns of the caller's own choice. */
export async function tableOf(found: Printable, { output }: OutputFlags): Promise<Pick<Printable, 'header' | 'rows'>> {
  if (!output?.startsWith(columns)) return found;
  const { customColumns } = await import('./custom-columns.js');
  return customColumns(output.slice(columns.length), found.objects);
}

export async function printObjects({ out, err }: CommandContext, found: Printable, flags: OutputFlags): Promise<void> {
  const { output } = flags;
  if (wantsObjects(output)) {
    const value =
      found.single && found.objects.length === 1
        ? found.objects[0]
        : { apiVersion: 'v1', kind: 'List', items: found.objects };
    out.write(await renderValue(value, output));
    return;
  }
  if (output === 'name') {
    for (const name of found.names) out.write(`${name}\n`);
    return;
  }
  const { header, rows } = await tableOf(found, flags);
  if (rows.length === 0) return void err.write(`${found.nothing}\n`);
  out.write(tableText(header, rows, flags.headers));
}

/** YAML's library is only loaded for YAML: it takes as long as everything else together. */
export async function renderValue(value: unknown, output: string | undefined): Promise<string> {
  if (output?.startsWith(path)) {
    const { renderJsonPath } = await import('./json-path.js');
    const text = renderJsonPath(output.slice(path.length), value);
    // A template that ends its lines itself needs no other end, and a loop over them no empty line.
    return text.endsWith('\n') ? text : `${text}\n`;
  }
  if (output === 'yaml') {
    const { stringify } = loadYaml();
    return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
  }
  return `${JSON.stringify(value, null, 4)}\n`;
}
