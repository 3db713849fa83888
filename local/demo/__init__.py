"""The demo: two fictional tenants, their equipment and people, and two weeks of history."""
