/** The versions of the specification spoken here, oldest first. */
export const specVersions = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;

export type SpecVersion = (typeof specVersions)[number];

export function isSpecVersion(version: string): version is SpecVersion {
  return (specVersions as readonly string[]).includes(version);
}

export function atLeast(version: SpecVersion, least: SpecVersion): boolean {
  return specVersions.indexOf(version) >= specVersions.indexOf(least);
}

/** The newest version that is in both lists, undefined when there is none. */
export function newestCommon(wanted: readonly SpecVersion[], supported: readonly string[]): SpecVersion | undefined {
  return wanted.filter((version) => supported.includes(version)).reduce<SpecVersion | undefined>(newer, undefined);
}

export function newest(versions: readonly SpecVersion[]): SpecVersion | undefined {
  return versions.reduce<SpecVersion | undefined>(newer, undefined);
}

function newer(a: SpecVersion | undefined, b: SpecVersion): SpecVersion {
  return a !== undefined && atLeast(a, b) ? a : b;
}
