"""The service: links, conductor, exams, verification, forwarding, API and pages."""
