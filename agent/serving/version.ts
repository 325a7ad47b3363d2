/** As in package.json; a test compares them. */
export const berthVersion = '0.1.0';
