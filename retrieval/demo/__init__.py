"""Two demo catalogues: 524 real films and 120 invented shop products.

The films' facts (year, runtime, people, ratings by our own guidance) were written from memory and not looked up one by
one: expect a wrong minute or a missing name here and there. Every sentence of a description is ours.
"""
