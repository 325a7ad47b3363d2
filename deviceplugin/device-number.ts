/** The kernel packs both numbers into one: 12 + 20 bits with the low 8 bits of the minor first, then the high parts. */
export function major(rdev: number): number {
  const device = BigInt(rdev);
  return Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n));
}

export function minor(rdev: number): number {
  const device = BigInt(rdev);
  return Number((device & 0xffn) | ((device >> 12n) & 0xffffff00n));
}
