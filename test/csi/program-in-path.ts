import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

/** The first program of this name in the PATH, or the one an environment variable names; undefined when there is none. */
export async function programInPath(name: string, variable: string): Promise<string | undefined> {
  const named = process.env[variable];
  const folders = (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, name));
  for (const path of named === undefined ? folders : [named]) {
    try {
      await access(path, constants.X_OK);
      return path;
    } catch {
      // Not here; the next folder may have it.
    }
  }
  return undefined;
}
