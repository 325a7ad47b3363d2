/** A version of the CSI specification a driver says it speaks. */
export interface CsiVersion {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

/** The highest 1.x of a driver's list; later majors need not be compatible, 0.x has not been supported for long. */
export function highestSupportedVersion(versions: readonly string[]): CsiVersion | undefined {
  return versions
    .flatMap((text) => parseVersion(text) ?? [])
    .filter((version) => version.major === 1)
    .sort(compareVersions)
    .at(-1);
}

export function compareVersions(a: CsiVersion, b: CsiVersion): number {
  return a.major - b.major || a.minor - b.minor || a.patch - b.patch;
}

function parseVersion(text: string): CsiVersion | undefined {
  const match = /^v?(\d+)\.(\d+)(?:\.(\d+))?/.exec(text.trim());
  return match === null
    ? undefined
    : { major: Number(match[1]), minor: Number(match[2]), patch: Number(match[3] ?? 0) };
}
