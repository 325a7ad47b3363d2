/** `vendor.com/class=device`. */
export interface QualifiedName {
  readonly kind: string;
  readonly device: string;
}

const vendorOrClass = /^[A-Za-z]([A-Za-z0-9._-]*[A-Za-z0-9])?$/;
const deviceName = /^[A-Za-z0-9]([A-Za-z0-9._:-]*[A-Za-z0-9])?$/;

/** Undefined when it is none. */
export function parseQualifiedName(name: string): QualifiedName | undefined {
  const equals = name.indexOf('=');
  if (equals < 0) return undefined;
  const kind = name.slice(0, equals);
  const device = name.slice(equals + 1);
  return kindProblem(kind) === undefined && deviceName.test(device) ? { kind, device } : undefined;
}

/** Why this is no `vendor.com/class`. */
export function kindProblem(kind: string): string | undefined {
  const slash = kind.indexOf('/');
  if (slash < 0) return `kind "${kind}" must read vendor/class`;
  if (!vendorOrClass.test(kind.slice(0, slash))) return `kind "${kind}": "${kind.slice(0, slash)}" is no vendor`;
  if (!vendorOrClass.test(kind.slice(slash + 1))) return `kind "${kind}": "${kind.slice(slash + 1)}" is no class`;
  return undefined;
}

export const deviceNameProblem = (name: string): string | undefined =>
  deviceName.test(name)
    ? undefined
    : `device name "${name}" must be letters, digits and "._:-" between two of the former`;
