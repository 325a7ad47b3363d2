import { join } from 'node:path';

/** One part of a driver's name; no part can climb out of the folder or hide from the listing. */
const part = /^[A-Za-z0-9][-A-Za-z0-9_.]*$/;

/** `vendor/driver` or `driver`: a name that is safe to make a path of. */
export function isDriverName(name: string): boolean {
  const parts = name.split('/');
  return parts.length <= 2 && parts.every((word) => part.test(word));
}

/** `vendor/driver` lives in the folder `vendor~driver`. */
export function driverFolderName(name: string): string {
  return name.replaceAll('/', '~');
}

/** The driver's name, or undefined when the folder cannot be one. */
export function driverNameOfFolder(folderName: string): string | undefined {
  const name = folderName.replaceAll('~', '/');
  return isDriverName(name) ? name : undefined;
}

/** `<folder>/<vendor~driver>/<driver>`. */
export function driverProgram(pluginFolder: string, name: string): string {
  return join(pluginFolder, driverFolderName(name), name.slice(name.lastIndexOf('/') + 1));
}
